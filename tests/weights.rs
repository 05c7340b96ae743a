//! Every file format against its definition, the packed layout, and damaged files.

mod packed;
