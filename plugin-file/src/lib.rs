//! Plain files: manifests, Metalink and checksum lists.
