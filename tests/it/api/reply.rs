//! The answer to one request as the bytes for the wire: messages, streams of events, and errors in
//! the API's form.

use serde_json::{Value, json};

use super::script::Step;

/// Writes the answer to one request, as the bytes for the wire.
pub(super) struct Reply<'a> {
    pub(super) body: &'a Value,
    /// Makes the ids of messages and tool calls unique.
    pub(super) id: String,
}

impl Reply<'_> {
    /// Titles, token counts, `HEAD /`, model lists: what a quiet API would say.
    pub(super) fn to_side_request(&self, line: &str) -> String {
        match line {
            "POST /v1/messages" => self.text("ok", "end_turn"),
            "POST /v1/messages/count_tokens" => json_answer(200, &json!({"input_tokens": 100})),
            "GET /v1/models" => json_answer(200, &json!({"data": [], "has_more": false})),
            line if line.starts_with("HEAD ") => http(200, "content-length: 0\r\n", ""),
            _ => json_answer(404, &error("not_found_error", "Not found")),
        }
    }

    /// None: no answer at all.
    pub(super) fn to_step(&self, step: &Step) -> Option<String> {
        let unfinished = "This sentence will not be";
        Some(match step {
            Step::Text(text) => self.text(text, "end_turn"),
            Step::MaxTokens => self.text(unfinished, "max_tokens"),
            Step::ContextWindowExceeded => self.text(unfinished, "model_context_window_exceeded"),
            Step::Refusal => self.message(&[], "refusal"),
            Step::ToolUse { name, input } => {
                let id = format!("toolu_{}", self.id);
                let call = json!({"type": "tool_use", "id": id, "name": name, "input": input});
                self.message(&[call], "tool_use")
            }
            Step::Status { code, kind, message, headers } => {
                http_json(*code, headers, &error(kind, message))
            }
            Step::SseError if self.streams() => {
                stream(&(self.start() + &event(error("overloaded_error", "Overloaded"))))
            }
            Step::SseError => json_answer(529, &error("overloaded_error", "Overloaded")),
            Step::Cut => {
                let all = self.events(&[text_block(unfinished)], "end_turn");
                let half = all.find("event: content_block_stop").unwrap_or(all.len());
                part_of_stream(&all[..half])
            }
            Step::Hang | Step::Reset => return None,
        })
    }

    fn streams(&self) -> bool {
        self.body["stream"] == true
    }

    fn text(&self, text: &str, stop_reason: &str) -> String {
        self.message(&[text_block(text)], stop_reason)
    }

    /// As a stream or in one piece, whichever was asked for.
    fn message(&self, content: &[Value], stop_reason: &str) -> String {
        if self.streams() {
            stream(&self.events(content, stop_reason))
        } else {
            json_answer(200, &self.message_json(content, Some(stop_reason)))
        }
    }

    fn message_json(&self, content: &[Value], stop_reason: Option<&str>) -> Value {
        json!({
            "id": format!("msg_{}", self.id), "type": "message", "role": "assistant",
            "model": self.body["model"], "content": content,
            "stop_reason": stop_reason, "stop_sequence": null, "usage": usage(),
        })
    }

    fn start(&self) -> String {
        event(json!({"type": "message_start", "message": self.message_json(&[], None)}))
    }

    /// The server-sent events of one whole message.
    fn events(&self, content: &[Value], stop_reason: &str) -> String {
        let mut events = self.start();
        for (index, block) in content.iter().enumerate() {
            let mut empty = block.clone();
            let delta = if block["type"] == "tool_use" {
                empty["input"] = json!({});
                json!({"type": "input_json_delta", "partial_json": block["input"].to_string()})
            } else {
                empty["text"] = json!("");
                json!({"type": "text_delta", "text": block["text"]})
            };
            for (kind, key, value) in [
                ("content_block_start", "content_block", empty),
                ("content_block_delta", "delta", delta),
            ] {
                events += &event(json!({"type": kind, "index": index, key: value}));
            }
            events += &event(json!({"type": "content_block_stop", "index": index}));
        }
        let end = json!({"stop_reason": stop_reason, "stop_sequence": null});
        events += &event(json!({"type": "message_delta", "delta": end, "usage": usage()}));
        events + &event(json!({"type": "message_stop"}))
    }
}

fn text_block(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn error(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}})
}

/// A turn costs more than a cent, so that `--max-budget-usd 0.01` can be tried.
fn usage() -> Value {
    json!({
        "input_tokens": 1000, "output_tokens": 500,
        "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
    })
}

fn event(data: Value) -> String {
    let name = data["type"].as_str().unwrap_or("message");
    format!("event: {name}\ndata: {data}\n\n")
}

fn stream(events: &str) -> String {
    part_of_stream(events) + "0\r\n\r\n"
}

/// Without the empty chunk that would say "this was all".
fn part_of_stream(events: &str) -> String {
    let headers = "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n";
    http(200, headers, &format!("{:x}\r\n{events}\r\n", events.len()))
}

fn json_answer(code: u16, body: &Value) -> String {
    http_json(code, &[], body)
}

fn http_json(code: u16, more: &[(String, String)], body: &Value) -> String {
    let body = body.to_string();
    let mut headers =
        format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in more {
        headers += &format!("{name}: {value}\r\n");
    }
    http(code, &headers, &body)
}

fn http(code: u16, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {code} Test\r\nconnection: close\r\nrequest-id: req_test\r\n{headers}\r\n{body}"
    )
}
