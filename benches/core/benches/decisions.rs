//! `make bench-core`: how long the decisions take.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use slipstream_bench_core::ALL;

fn decisions(criterion: &mut Criterion) {
    for (name, make) in ALL {
        let mut group = criterion.benchmark_group(*name);
        group.sample_size(10);
        for size in [100, 1000, 5000] {
            let work = make(size);
            group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                bencher.iter(|| black_box(work()))
            });
        }
        group.finish();
    }
}

criterion_group!(benches, decisions);
criterion_main!(benches);
