//! Serving, driven over real sockets.

mod kit;
mod on_demand;
mod routing;
mod server;
mod stored;
