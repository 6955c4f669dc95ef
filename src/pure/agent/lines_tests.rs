//! Tests of what becomes of lines, short and long, whole and broken. The same bytes are fed in
//! pieces of several sizes, since nothing may depend on where a read happens to end. Must not use
//! an agent's own events: any JSON has to do.

use super::*;

/// The lines, and how many were skipped, when `bytes` are fed in pieces of `piece` bytes.
fn split(bytes: &[u8], piece: usize) -> (Vec<Vec<u8>>, Skipped) {
    let (mut lines, mut seen) = (Lines::new(), Vec::new());
    for chunk in bytes.chunks(piece) {
        lines.feed(chunk, &mut |line| seen.push(line.to_vec()));
    }
    let skipped = lines.finish(&mut |line| seen.push(line.to_vec()));
    (seen, skipped)
}

fn only_line(bytes: &[u8]) -> Vec<u8> {
    let (mut lines, skipped) = split(bytes, 8192);
    assert_eq!((lines.len(), skipped.too_long), (1, 0));
    lines.remove(0)
}

fn parsed(line: &[u8]) -> serde_json::Value {
    serde_json::from_slice(line).expect("the compacted line parses")
}

/// A line with `text` (JSON-escaped already) as a string between two other fields.
fn line_with(text: &str) -> Vec<u8> {
    format!(r#"{{"a": 1, "long": "{text}", "type": "result"}}"#).into_bytes()
}

#[test]
fn lines_come_out_as_they_went_in() {
    let rows: &[(&[u8], &[&[u8]])] = &[
        (b"", &[]),
        (b"\n\n\r\n \t\n\0\0\n", &[]),
        (b"a", &[b"a"]),
        (b"a\n", &[b"a"]),
        (b"a\r\nb\r", &[b"a", b"b"]),
        (b"a\n\n b \nc", &[b"a", b" b ", b"c"]),
        (b"\0a\xff\n\xc3\n", &[b"\0a\xff", b"\xc3"]),
    ];
    for (bytes, wanted) in rows {
        for piece in 1..=bytes.len().max(1) {
            assert_eq!(
                split(bytes, piece),
                (wanted.iter().map(|l| l.to_vec()).collect(), Skipped::default())
            );
        }
    }
}

#[test]
fn a_line_at_the_limit_is_not_touched_and_one_above_is_compacted() {
    for piece in [1, 4096, usize::MAX] {
        let at = [vec![b' '; 10], vec![b'x'; LINE_BYTES_MAX - 10]].concat();
        assert_eq!(split(&at, piece).0, [&at[..]]);
        let above = [&at[..], b"y"].concat();
        assert_eq!(split(&above, piece).0[0].len(), LINE_BYTES_MAX + 1 - 10);
    }
}

#[test]
fn long_strings_are_cut_and_the_rest_of_the_line_stays() {
    let line = line_with(&"x".repeat(LINE_BYTES_MAX * 3));
    let value = parsed(&only_line(&line));
    assert_eq!(value["type"], "result");
    assert_eq!(value["long"].as_str().map(str::len), Some(STRING_BYTES_MAX));
}

#[test]
fn no_cut_inside_an_escape_a_character_or_a_surrogate_pair() {
    let units = [r"\n", r"\\", r#"\""#, r"\u00e9", r"\ud83d\ude00", "é", "€", "😀", r"\\ud83d"];
    for unit in units {
        for shift in 0..unit.len() {
            let text = "x".repeat(shift) + &unit.repeat(LINE_BYTES_MAX / unit.len());
            let bytes = line_with(&text);
            let line = only_line(&bytes);
            let value = parsed(&line);
            assert_eq!(value["type"], "result", "{unit} {shift}");
            let whole = parsed(&bytes);
            let (whole, kept) =
                (whole["long"].as_str(), value["long"].as_str().unwrap_or_default());
            assert!(whole.is_some_and(|whole| whole.starts_with(kept)), "{unit} {shift}");
            assert!(line.len() > STRING_BYTES_MAX && line.len() < STRING_BYTES_MAX + 60);
            // Every way of feeding gives the same.
            for piece in [1, 16_411] {
                assert_eq!(split(&bytes, piece).0, [&line[..]], "{unit} {shift} {piece}");
            }
        }
    }
}

#[test]
fn a_string_of_exactly_the_limit_is_whole() {
    let pad = "p".repeat(STRING_BYTES_MAX);
    let many = format!(r#"["{pad}","{pad}","{pad}","{pad}","{pad}"]"#);
    assert_eq!(only_line(many.as_bytes()), many.as_bytes());
}

#[test]
fn with_a_thousand_long_strings_the_last_field_still_stays() {
    let input = format!(r#"{{"tool_input":{{"content":"{}"}}}}"#, "c".repeat(20_000));
    let line =
        format!(r#"{{"permission_denials":[{}],"type":"result"}}"#, vec![input; 500].join(","));
    let kept = only_line(line.as_bytes());
    assert!(kept.len() < COMPACT_BYTES_MAX);
    assert_eq!(parsed(&kept)["type"], "result");
    assert_eq!(parsed(&kept)["permission_denials"].as_array().map(Vec::len), Some(500));
}

#[test]
fn what_is_too_long_even_so_is_dropped_and_counted() {
    let numbers = "[".to_string() + &"123456,".repeat(COMPACT_BYTES_MAX / 5) + "1]";
    let stream = format!("first\n{numbers}\nnext\n{numbers}");
    for piece in [1000, usize::MAX] {
        let (lines, skipped) = split(stream.as_bytes(), piece);
        assert_eq!(lines, [b"first".to_vec(), b"next".to_vec()]);
        assert_eq!(skipped, Skipped { too_long: 2 });
    }
}

#[test]
fn memory_is_bounded_whatever_comes() {
    const PIECES: usize = 20; // more than is kept of a line
    let whole = line_with(&"x".repeat(60_000));
    let pieces: [Vec<u8>; 6] = [
        vec![b'x'; 65_536],
        vec![b'"'; 65_536],
        vec![b'\\'; 65_536],
        vec![0; 65_536],
        vec![0xA9; 65_536],
        whole,
    ];
    for piece in &pieces {
        for opening in ["", "{\"a\":\""] {
            let mut lines = Lines::new();
            let mut largest = 0;
            let mut each = |line: &[u8]| largest = largest.max(line.len());
            lines.feed(opening.as_bytes(), &mut each);
            for _ in 0..PIECES {
                lines.feed(piece, &mut each);
                let held = lines.partial.capacity() + lines.compactor.kept.capacity();
                assert!(held <= 4 * COMPACT_BYTES_MAX, "{held} bytes held");
            }
            lines.finish(&mut each);
            assert!(largest <= COMPACT_BYTES_MAX);
        }
    }
}

#[test]
fn a_large_piece_is_not_copied() {
    for bytes in [line_with(&"x".repeat(8_000_000)), vec![b'7'; 8_000_000]] {
        let mut lines = Lines::new();
        lines.feed(&bytes, &mut |_| {});
        assert!(
            lines.partial.capacity() + lines.compactor.kept.capacity() <= 2 * COMPACT_BYTES_MAX
        );
    }
}

#[test]
fn a_hole_of_nul_bytes_before_a_line_does_not_cost_the_line() {
    let bytes = [vec![0; 3 * COMPACT_BYTES_MAX], b"{\"type\":\"result\"}\n".to_vec()].concat();
    assert_eq!(only_line(&bytes), b"{\"type\":\"result\"}");
}

#[test]
fn a_broken_escape_does_not_swallow_the_end_of_its_string() {
    let bytes =
        [br#"{"a":"\u12","b":""#.to_vec(), vec![b'x'; 70_000], br#"","c":1}"#.to_vec()].concat();
    let line = only_line(&bytes);
    assert!(line.starts_with(br#"{"a":"\u12","b":"x"#) && line.ends_with(br#"x","c":1}"#));
}

#[test]
fn a_line_at_the_last_limit_is_judged_alike_however_it_is_cut() {
    // The line's last string is cut in the middle of a character, at the limit of a line that was
    // compacted.
    for over in 0..4 {
        let rest = COMPACT_BYTES_MAX - 1 - TIGHT_STRING_BYTES_MAX + over;
        let line = [&vec![b'1'; rest][..], b"\"x", "😀".repeat(200).as_bytes(), b"\""].concat();
        let whole = split(&line, usize::MAX);
        assert_eq!(whole.1.too_long, u64::from(over > 2), "{over} bytes over before the cut");
        for piece in [512, rest + 1 + TIGHT_STRING_BYTES_MAX] {
            assert!(split(&line, piece) == whole, "{over} bytes over, in pieces of {piece}");
        }
    }
}
