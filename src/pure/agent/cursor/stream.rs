//! The reader of Cursor's `stream-json`: one event a line, as its documentation has them.
//!
//! Owns nothing between two lines but that the model is in the middle of a turn. Must not require
//! any field: it was written without having seen a real stream, so that what is absent or of
//! another type is ignored, and so is an unknown event.

use serde_json::Value;

use super::items::call;
use crate::pure::agent::fields::{error_line, session_id, whole, word};
use crate::pure::agent::mend;
use crate::pure::agent::{
    Failure, RESULT_BYTES_MAX, Reader, ResultEvent, Summary, Tokens, USAGE_BYTES_MAX,
};
use crate::pure::report::ErrorType;
use crate::pure::text::clip::clip;

#[derive(Debug, Default)]
pub(super) struct CursorReader {
    is_in_turn: bool,
}

impl Reader for CursorReader {
    fn line(&mut self, line: &[u8], summary: &mut Summary) {
        let Some(event) = mend::parse(line) else {
            summary.broken_lines += 1;
            return;
        };
        let subtype = event["subtype"].as_str().unwrap_or_default();
        match (event["type"].as_str().unwrap_or_default(), subtype) {
            ("system", "init") => {
                summary.init_seen = true;
                summary.session_id = session_id(&event).or(summary.session_id.take());
                summary.model = word(&event["model"]).or(summary.model.take());
            }
            ("assistant", _) => self.read_message(&event, summary),
            ("tool_call", "started") => self.read_call(&event, summary),
            ("tool_call", _) => self.is_in_turn = false,
            ("thinking", _) => summary.model_began = true,
            ("result", _) => read_result(&event, summary),
            _ => {}
        }
    }
}

impl CursorReader {
    fn begin_turn(&mut self, summary: &mut Summary) {
        summary.assistant_turns += u64::from(!self.is_in_turn);
        summary.working_after_result = summary.result.is_some();
        self.is_in_turn = true;
    }

    fn read_message(&mut self, event: &Value, summary: &mut Summary) {
        let blocks = event["message"]["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
        if texts.is_empty() {
            return;
        }
        self.begin_turn(summary);
        summary.last_text = Some(clip(&texts.concat(), RESULT_BYTES_MAX));
    }

    fn read_call(&mut self, event: &Value, summary: &mut Summary) {
        self.begin_turn(summary);
        summary.used_tools = true;
        let (name, _) = call(&event["tool_call"]);
        summary.last_tool = word(&name).or(summary.last_tool.take());
    }
}

fn read_result(event: &Value, summary: &mut Summary) {
    let text = event["result"].as_str().unwrap_or_default();
    let is_success = event["subtype"] == "success" && event["is_error"] != true;
    let failure = (!is_success).then(|| Failure {
        // It tells no kinds: this one is worth one repetition.
        error_type: ErrorType::ToolFailure,
        message: error_line(text, "cursor"),
    });
    let usage = Some(&event["usage"])
        .filter(|usage| usage.is_object() && usage.to_string().len() <= USAGE_BYTES_MAX);
    if let Some(usage) = usage {
        let count =
            |keys: &[&str]| keys.iter().map(|key| whole(&usage[*key])).fold(0, u64::saturating_add);
        let told = Tokens {
            input: count(&["inputTokens", "cacheReadTokens", "cacheWriteTokens"]),
            output: count(&["outputTokens"]),
        };
        summary.tokens.input = summary.tokens.input.max(told.input);
        summary.tokens.output = summary.tokens.output.max(told.output);
    }
    summary.session_id = session_id(event).or(summary.session_id.take());
    summary.results = summary.results.saturating_add(1);
    summary.working_after_result = false;
    summary.result = Some(ResultEvent {
        failure,
        text: Some(clip(text, RESULT_BYTES_MAX)).filter(|text| !text.is_empty()),
        num_turns: Some(summary.assistant_turns),
        usage: usage.cloned(),
        ..ResultEvent::default()
    });
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
