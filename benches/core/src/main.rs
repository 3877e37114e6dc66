//! `slipstream-bench-core NAME SIZE TIMES`: makes the facts of a piece of work, then does it so many times.

use std::hint::black_box;

use slipstream_bench_core::ALL;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, size, times] = args.as_slice() else {
        for (name, _) in ALL {
            println!("{name}");
        }
        return;
    };
    let number = |text: &String| text.parse::<usize>().expect("a number");
    let (_, make) = ALL.iter().find(|(known, _)| known == name).expect("a known piece of work");
    let work = make(number(size));
    for _ in 0..number(times) {
        black_box(work());
    }
}
