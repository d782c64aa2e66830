//! The Rust API of the bus: publisher and subscriber.
