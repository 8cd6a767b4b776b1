//! Stream records into flat change events, by the table's schema.
