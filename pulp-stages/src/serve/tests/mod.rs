//! Serving, driven over real sockets.

mod authorization;
mod kit;
mod on_demand;
mod routing;
mod server;
mod stored;
