//! Serving: what plugins' routes are given. The server itself follows.

use crate::{installation::Installation, plugin::Plugins};

/// The web application's services. Cheap to clone.
#[derive(Clone)]
pub struct ContentApp {
    /// Database and artifact store.
    pub installation: Installation,
    /// The program's plugins.
    pub plugins: Plugins,
}
