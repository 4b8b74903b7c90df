//! Servers under load: `pulp serve`, and nginx on the same files.

use std::{
    fmt::Write as _,
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{
    cases::Load,
    data::Set,
    load::{self, Served},
    measure::{Sample, cpu_of_family, peak_memory},
};
use crate::{client, probe, pulp::Installation, run::Running};

/// Asks `pulp serve` for the files of the repository `bench`.
pub(super) fn pulp(pulp: &Installation, load: Load, set: Set, quick: bool) -> Result<Sample> {
    let serving = pulp.serve()?;
    let served = served(serving.address, "/pulp/content/bench/", set, quick);
    let sample = measured(serving.id(), &served, load, load.requests(set, quick))?;
    serving.stop()?;
    Ok(sample)
}

/// Asks nginx for the files below `data`.
pub(super) fn nginx(
    folder: &Path,
    data: &Path,
    load: Load,
    set: Set,
    quick: bool,
) -> Result<Sample> {
    let program = probe::program("nginx").map_err(anyhow::Error::msg)?;
    // It cannot be told to choose a port, so a free one is chosen for it.
    let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    let settings = folder.join("nginx.conf");
    fs::create_dir_all(folder.join("nginx"))?;
    fs::write(&settings, configuration(folder, data, address))?;
    let running = Running::start(Command::new(program).arg("-c").arg(&settings))?;
    let start = Instant::now();
    while client::get(address, "/").is_err() {
        anyhow::ensure!(start.elapsed().as_secs() < 10, "nginx did not answer");
        std::thread::yield_now();
    }
    let served = served(address, "/", set, quick);
    let sample = measured(running.id(), &served, load, load.requests(set, quick))?;
    running.terminate()?;
    // Killed before they end, it would leave its workers behind.
    running.finish(Duration::from_secs(10)).context("nginx did not end")?;
    Ok(sample)
}

fn configuration(folder: &Path, data: &Path, address: SocketAddr) -> String {
    let (folder, data) = (folder.display(), data.display());
    let mut temporary = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        let _ = writeln!(temporary, "{kind}_temp_path {folder}/nginx/{kind};");
    }
    format!(
        "user root;\ndaemon off;\nworker_processes 2;\npid {folder}/nginx/pid;\nerror_log {folder}/nginx/log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\nsendfile on; tcp_nopush on; keepalive_requests 1000000; access_log off;\n\
         default_type application/octet-stream;\n{temporary}\
         server {{ listen {address}; root {data}; autoindex on; }}\n}}\n"
    )
}

fn served(address: SocketAddr, path: &str, set: Set, quick: bool) -> Served {
    Served { address, path: path.to_owned(), files: set.units(quick), size: set.file_size(quick) }
}

fn measured(id: u32, served: &Served, load: Load, requests: u64) -> Result<Sample> {
    let before = cpu_of_family(id).context("The server has ended")?;
    let answers = load::run(served, load, requests)?;
    let after = cpu_of_family(id).context("The server has ended")?;
    Ok(Sample {
        wall: answers.seconds,
        cpu: Some(after - before),
        peak: peak_memory(id),
        rate: Some(answers.requests as f64 / answers.seconds),
        throughput: Some(answers.bytes as f64 / answers.seconds),
        ..Sample::default()
    })
}
