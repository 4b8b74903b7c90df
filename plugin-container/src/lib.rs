//! Container registries: mirror, serve and push.
