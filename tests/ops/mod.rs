//! One module per op, same name: shapes and formats against the CPU twin, in every variant of the device.

mod add_rms_norm;
mod rms_norm;
