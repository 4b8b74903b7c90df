//! The program `pulp`: the three reference plugins, composed.

use std::process::ExitCode;

fn main() -> ExitCode {
    pulp::Application::new()
        .plugin(plugin_file::File)
        .plugin(plugin_deb::Deb)
        .plugin(plugin_container::Container)
        .run()
}
