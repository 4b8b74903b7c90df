//! Apt repositories: sync, verify, publish and sign.
