//! The seam to files, sockets and time.
