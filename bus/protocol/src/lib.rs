//! What client and broker say to each other.
