//! SBE schema compiler and schema-driven decoder.
