//! Rust source as rustfmt would leave it. Lines that depend on a schema's names are kept short by the way the code is
//! cut into statements; the few that may still grow are broken here, where rustfmt breaks them.

use std::fmt::Display;

/// rustfmt's own `max_width`.
const WIDTH: usize = 100;
#[derive(Default)]
pub(crate) struct Source {
    text: String,
    depth: usize,
}

impl Source {
    pub(crate) fn finish(self) -> String {
        self.text
    }

    pub(crate) fn line(&mut self, line: impl Display) {
        let line = format!("{:indent$}{line}", "", indent = self.depth * 4);
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// A line that opens braces.
    pub(crate) fn open(&mut self, line: impl Display) {
        self.line(format_args!("{line} {{"));
        self.depth += 1;
    }

    pub(crate) fn close(&mut self) {
        self.close_with("");
    }

    pub(crate) fn close_with(&mut self, end: &str) {
        self.depth -= 1;
        match self.text.ends_with("{\n") {
            // Braces around nothing stand together.
            true => {
                self.text.pop();
                self.text.push_str(&format!("}}{end}\n"));
            }
            false => self.line(format_args!("}}{end}")),
        }
    }

    /// A blank line, unless something was just opened.
    pub(crate) fn blank(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("{\n") {
            self.text.push('\n');
        }
    }

    /// Documentation. What would be a link or markup is not.
    pub(crate) fn doc(&mut self, text: &str) {
        for line in text.lines().map(str::trim) {
            let mut escaped = String::new();
            for c in line.chars() {
                if matches!(c, '[' | ']' | '<' | '>' | '`' | '\\') {
                    escaped.push('\\');
                }
                // Control characters are no text, and a bare carriage return is refused in documentation.
                escaped.push(if c.is_control() { ' ' } else { c });
            }
            self.line(format_args!("/// {}", escaped.trim_end()));
        }
    }

    /// Documentation in two parts: what the schema says, if it says something, and what we say.
    pub(crate) fn docs(&mut self, description: &str, ours: &str) {
        if !description.trim().is_empty() {
            self.doc(description.trim());
            self.line("///");
        }
        self.line(format_args!("/// {ours}"));
    }

    /// The head of a function, and its opening brace: on one line, or an argument a line.
    pub(crate) fn function(&mut self, head: &str, arguments: &[String], result: &str) {
        self.function_inlined("#[inline]", head, arguments, result);
    }

    /// The same, with its own word on inlining.
    pub(crate) fn function_inlined(&mut self, inline: &str, head: &str, arguments: &[String], result: &str) {
        self.line(inline);
        let result = if result.is_empty() { String::new() } else { format!(" -> {result}") };
        let whole = format!("{head}({}){result}", arguments.join(", "));
        match self.fits(whole.len() + 2) {
            true => self.open(whole),
            false => {
                self.line(format_args!("{head}("));
                self.depth += 1;
                arguments.iter().for_each(|argument| self.line(format_args!("{argument},")));
                self.depth -= 1;
                self.open(format_args!("){result}"));
            }
        }
    }

    /// The head of an implementation of a trait, and its opening brace. rustfmt does not count its indentation.
    pub(crate) fn implementation(&mut self, of: &str, kind: &str) {
        match of.len() + kind.len() + 12 <= WIDTH {
            true => self.open(format_args!("impl {of} for {kind}")),
            false => {
                self.line(format_args!("impl {of}"));
                self.line(format_args!("    for {kind}"));
                self.line("{");
                self.depth += 1;
            }
        }
    }

    /// `start = value;`, the value on a line of its own where both are too long for one.
    pub(crate) fn assign(&mut self, start: &str, value: &str) {
        match self.fits(start.len() + value.len() + 4) {
            true => self.line(format_args!("{start} = {value};")),
            false => {
                self.line(format_args!("{start} ="));
                self.depth += 1;
                self.line(format_args!("{value};"));
                self.depth -= 1;
            }
        }
    }

    /// `name: value,` of a struct.
    pub(crate) fn member(&mut self, name: &str, value: &str) {
        match self.fits(name.len() + value.len() + 3) {
            true => self.line(format_args!("{name}: {value},")),
            false => {
                self.line(format_args!("{name}:"));
                self.depth += 1;
                self.line(format_args!("{value},"));
                self.depth -= 1;
            }
        }
    }

    /// `name(kind),` of an enum.
    pub(crate) fn variant(&mut self, name: &str, kind: &str) {
        match self.fits(name.len() + kind.len() + 3) {
            true => self.line(format_args!("{name}({kind}),")),
            false => {
                self.line(format_args!("{name}("));
                self.depth += 1;
                self.line(format_args!("{kind},"));
                self.depth -= 1;
                self.line("),");
            }
        }
    }

    /// An arm of a match.
    pub(crate) fn arm(&mut self, pattern: &str, value: &str) {
        match self.fits(pattern.len() + value.len() + 5) {
            true => self.line(format_args!("{pattern} => {value},")),
            false => {
                self.open(format_args!("{pattern} =>"));
                self.line(value);
                self.close();
            }
        }
    }

    fn fits(&self, length: usize) -> bool {
        self.depth * 4 + length <= WIDTH
    }
}
