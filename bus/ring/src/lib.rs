//! The ring: block and frame layout, writer, reader.
