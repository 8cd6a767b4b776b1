#![no_main]

#[allow(dead_code, reason = "each program fuzzes one of them")]
#[path = "../../hostile/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::export(data));
