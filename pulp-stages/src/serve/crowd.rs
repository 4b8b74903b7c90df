//! How many connections there are: at all, and of each client.
//!
//! Above the first limit, new connections wait in the system's queue; above the second, they are
//! closed, so that no client can make the others wait.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{ServerSettings, metrics::Metrics};

/// The connections of one server.
pub(super) struct Crowd {
    room: Arc<Semaphore>,
    per_client: usize,
    clients: Arc<Clients>,
}

struct Clients {
    open: Mutex<HashMap<IpAddr, usize>>,
    metrics: Arc<Metrics>,
}

/// A connection's place, until dropped.
pub(super) struct Place {
    clients: Arc<Clients>,
    client: IpAddr,
    _room: OwnedSemaphorePermit,
}

impl Crowd {
    pub(super) fn new(settings: &ServerSettings, metrics: Arc<Metrics>) -> Self {
        Self {
            room: Arc::new(Semaphore::new(settings.max_connections)),
            per_client: settings.max_connections_per_client,
            clients: Arc::new(Clients { open: Mutex::default(), metrics }),
        }
    }

    /// Waits until there is room for one more connection.
    pub(super) async fn room(&self) -> io::Result<OwnedSemaphorePermit> {
        self.room.clone().acquire_owned().await.map_err(io::Error::other)
    }

    /// Takes a connection in, unless its client has too many.
    pub(super) fn enter(&self, client: IpAddr, room: OwnedSemaphorePermit) -> Option<Place> {
        let client = network(client);
        let metrics = &self.clients.metrics;
        let mut open = self.clients.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(client).or_default();
        if *count >= self.per_client {
            metrics.refused.add(1);
            tracing::debug!(%client, "Refusing a connection: its client has too many");
            return None;
        }
        *count += 1;
        metrics.connections.add(1);
        Some(Place { clients: self.clients.clone(), client, _room: room })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.clients.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.client);
            }
        }
        self.clients.metrics.closed.add(1);
    }
}

/// Who counts as one client: an IPv4 address, or the network that an IPv6 customer has for itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_is_an_address_or_a_network_and_its_places_come_back() {
        let settings = ServerSettings { max_connections_per_client: 2, ..Default::default() };
        let crowd = Crowd::new(&settings, Arc::new(Metrics::new()));
        let room = || async { crowd.room().await.expect("room") };
        let enter = |client: &str, room| crowd.enter(client.parse().expect("an address"), room);
        let first = enter("2001:db8::1", room().await).expect("the first");
        let _second = enter("2001:db8::2", room().await).expect("the second");
        assert!(enter("2001:db8::3", room().await).is_none(), "one network");
        assert!(enter("2001:db8:0:1::3", room().await).is_some(), "another");
        assert!(enter("192.0.2.1", room().await).is_some());
        drop(first);
        assert!(enter("2001:db8::3", room().await).is_some(), "a place is free again");
        assert_eq!(crowd.clients.metrics.refused.get(), 1);
    }
}
