//! An own Optiq-shaped schema and a seeded generator of a session.
