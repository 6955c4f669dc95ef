//! A session that writes very much, in many lines and in one: what the daemon's memory makes of it.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::daemon::Served;
use crate::lab::{Lab, PATIENCE, Side};
use crate::procfs;
use crate::table::{Row, Table, Target, Unit};

const MB: usize = 1024 * 1024;
const LINE_BYTES: usize = 1000;
const DONE_WITHIN: Duration = Duration::from_secs(300);

struct Grown {
    mb: f64,
    seconds: f64,
}

pub fn run(lab: &Lab, table: &mut Table) {
    let size = lab.sizes.output_mb;
    for (form, line_bytes) in [("in lines", LINE_BYTES), ("in one line", size * MB)] {
        let file = lab.dir.join("output");
        write_output(&file, size * MB, line_bytes);
        let mut grown = Vec::new();
        for side in &lab.sides {
            let got = once(lab, side, &file);
            grown.push(table.value(side, &format!("{size} MB of output {form}"), got));
        }
        let of = |get: fn(&Grown) -> f64| -> Vec<Option<f64>> {
            grown.iter().map(|grown| grown.as_ref().map(get)).collect()
        };
        let (key, label) = (form.replace(' ', "_"), format!("{size} MB of output {form}"));
        let row = Row::new(format!("output.{key}.growth"), format!("{label}: RSS +"), Unit::Mb);
        table.add(row.target(Target::AtMost(2.0)).sides(&of(|grown| grown.mb)));
        let row = Row::new(
            format!("output.{key}.time"),
            format!("{label}: until the report"),
            Unit::Seconds,
        );
        table.add(row.sides(&of(|grown| grown.seconds)));
        let _ = fs::remove_file(&file);
    }
}

/// Events of the agent's stream: an assistant's words.
fn write_output(path: &Path, bytes: usize, line_bytes: usize) {
    let mut file = BufWriter::new(File::create(path).expect("create the output"));
    let head = r#"{"type":"assistant","message":{"model":"fake","role":"assistant","content":[{"type":"text","text":""#;
    let tail = "\"}]}}\n";
    let text = vec![b'x'; line_bytes - head.len() - tail.len()];
    for _ in 0..bytes / line_bytes {
        for part in [head.as_bytes(), &text, tail.as_bytes()] {
            file.write_all(part).expect("write the output");
        }
    }
    file.flush().expect("write the output");
}

fn once(lab: &Lab, side: &Side, output: &Path) -> Result<Grown, String> {
    let home = lab.home();
    let given = home.dir.join("output");
    let mut served = Served::start(lab, side, home, 2, &[], &[("BENCH_CAT", &given)])?;
    // A small one first: what any session costs is measured elsewhere.
    served.dispatch(PATIENCE)?;
    let before = procfs::memory(served.daemon.pid).peak_kb;
    fs::hard_link(output, &given).map_err(|e| format!("cannot give the output: {e}"))?;
    let began = Instant::now();
    served.dispatch(DONE_WITHIN)?;
    let seconds = began.elapsed().as_secs_f64();
    let after = procfs::memory(served.daemon.pid).peak_kb;
    Ok(Grown { mb: (after - before) / 1024.0, seconds })
}
