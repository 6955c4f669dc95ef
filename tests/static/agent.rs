//! The smallest stand-in for Claude Code: one static program, for a place where there is no shell.
//! It reads its prompt to the end, writes a file into the project, and says what it did as
//! stream-json.

use std::io::Read;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|word| word == "--version" || word == "--help") {
        println!("0.0.0 (static fake Claude Code)");
        return;
    }
    let session = arguments.iter().skip_while(|word| *word != "--session-id").nth(1);
    let session = session.map_or("00000000-0000-4000-8000-000000000000", |id| id);
    let mut prompt = String::new();
    std::io::stdin().read_to_string(&mut prompt).expect("a prompt on stdin");
    std::fs::write("hello.txt", "hello\n").expect("the project is the current directory");

    let said = format!("I read {} bytes", prompt.len());
    println!(r#"{{"type":"system","subtype":"init","session_id":"{session}","model":"fake"}}"#);
    println!(
        r#"{{"type":"assistant","message":{{"model":"fake-1","role":"assistant","content":[{{"type":"text","text":"{said}"}}]}},"session_id":"{session}"}}"#
    );
    println!(
        r#"{{"type":"result","subtype":"success","is_error":false,"api_error_status":null,"result":"{said}","stop_reason":"end_turn","num_turns":1,"total_cost_usd":0.01,"usage":{{"input_tokens":10,"output_tokens":5}},"permission_denials":[],"session_id":"{session}"}}"#
    );
}
