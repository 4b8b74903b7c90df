//! `pulp orphan cleanup`, `pulp check`: keeping an installation tidy and sound.
