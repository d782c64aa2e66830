//! Catalog, cores, owners, sessions, keeper.
