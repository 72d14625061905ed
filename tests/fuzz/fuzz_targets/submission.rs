#![no_main]

libfuzzer_sys::fuzz_target!(init: targets::let_panics_be_caught(), |data: &[u8]| {
    (targets::Target::find("submission").run)(data);
});
