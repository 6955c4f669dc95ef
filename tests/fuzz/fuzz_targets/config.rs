#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gstack_dispatch_daemon_fuzz::config(data));
