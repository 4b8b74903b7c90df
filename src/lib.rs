//! Composition of the sync engine into the program `pulp`.
