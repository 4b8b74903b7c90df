//! Serving, driven over real sockets.

mod authorization;
mod kit;
mod limits;
mod monitoring;
mod on_demand;
mod routing;
mod server;
mod stored;
