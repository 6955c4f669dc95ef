//! Lines as Claude Code writes them, and the reading of a whole stream. Must not expect anything:
//! that is for the tests beside this file, which share these lines so that they agree on what a
//! session looks like.

use super::DRIVER;
use crate::pure::agent::{Summary, Transcript};

pub const INIT: &str = r#"{"type":"system","subtype":"init","session_id":"s-1","model":"claude-x","claude_code_version":"2.1.330","tools":["Bash"]}"#;

pub const DONE: &str = r#"{"duration_ms":9,"subtype":"success","is_error":false,"num_turns":2,"type":"result","result":"done","total_cost_usd":0.5,"usage":{"output_tokens":7},"permission_denials":[],"stop_reason":"end_turn","session_id":"s-1"}"#;

pub fn said(id: &str, text: &str) -> String {
    format!(
        r#"{{"type":"assistant","message":{{"id":"{id}","model":"claude-x","content":[{{"type":"text","text":"{text}"}}]}},"parent_tool_use_id":null,"session_id":"s-1"}}"#
    )
}

pub fn read(stream: &str) -> Summary {
    read_in_pieces(stream.as_bytes(), usize::MAX)
}

pub fn read_in_pieces(stream: &[u8], piece: usize) -> Summary {
    let mut transcript = Transcript::new(&DRIVER);
    for chunk in stream.chunks(piece) {
        transcript.feed(chunk);
    }
    transcript.finish()
}
