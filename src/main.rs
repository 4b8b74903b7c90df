//! The program `pulp`.
fn main() {}
