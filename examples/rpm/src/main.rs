//! The program: `pulp` for RPM repositories alone.

use std::process::ExitCode;

fn main() -> ExitCode {
    pulp::Application::new().plugin(pulp_rpm::Rpm).run()
}
