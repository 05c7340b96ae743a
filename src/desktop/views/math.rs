//! Formulas as readable text: the common commands of LaTeX as Unicode letters, powers and indices raised and lowered.
//! What it does not know stays as it was written.

use std::borrow::Cow;

const SYMBOLS: [(&str, &str); 62] = [
    ("\\alpha", "α"),
    ("\\beta", "β"),
    ("\\gamma", "γ"),
    ("\\delta", "δ"),
    ("\\epsilon", "ε"),
    ("\\varepsilon", "ε"),
    ("\\zeta", "ζ"),
    ("\\eta", "η"),
    ("\\theta", "θ"),
    ("\\kappa", "κ"),
    ("\\lambda", "λ"),
    ("\\mu", "μ"),
    ("\\nu", "ν"),
    ("\\xi", "ξ"),
    ("\\pi", "π"),
    ("\\rho", "ρ"),
    ("\\sigma", "σ"),
    ("\\tau", "τ"),
    ("\\phi", "φ"),
    ("\\varphi", "φ"),
    ("\\chi", "χ"),
    ("\\psi", "ψ"),
    ("\\omega", "ω"),
    ("\\Gamma", "Γ"),
    ("\\Delta", "Δ"),
    ("\\Theta", "Θ"),
    ("\\Lambda", "Λ"),
    ("\\Pi", "Π"),
    ("\\Sigma", "Σ"),
    ("\\Phi", "Φ"),
    ("\\Psi", "Ψ"),
    ("\\Omega", "Ω"),
    ("\\infty", "∞"),
    ("\\partial", "∂"),
    ("\\nabla", "∇"),
    ("\\sum", "∑"),
    ("\\prod", "∏"),
    ("\\int", "∫"),
    ("\\sqrt", "√"),
    ("\\cdot", "·"),
    ("\\times", "×"),
    ("\\div", "÷"),
    ("\\pm", "±"),
    ("\\leq", "≤"),
    ("\\le", "≤"),
    ("\\geq", "≥"),
    ("\\ge", "≥"),
    ("\\neq", "≠"),
    ("\\ne", "≠"),
    ("\\approx", "≈"),
    ("\\equiv", "≡"),
    ("\\in", "∈"),
    ("\\to", "→"),
    ("\\rightarrow", "→"),
    ("\\Rightarrow", "⇒"),
    ("\\leftarrow", "←"),
    ("\\forall", "∀"),
    ("\\exists", "∃"),
    ("\\ldots", "…"),
    ("\\dots", "…"),
    ("\\quad", "  "),
    ("\\,", " "),
];
const RAISED: [(char, char); 14] = [
    ('0', '⁰'),
    ('1', '¹'),
    ('2', '²'),
    ('3', '³'),
    ('4', '⁴'),
    ('5', '⁵'),
    ('6', '⁶'),
    ('7', '⁷'),
    ('8', '⁸'),
    ('9', '⁹'),
    ('+', '⁺'),
    ('-', '⁻'),
    ('n', 'ⁿ'),
    ('i', 'ⁱ'),
];
const LOWERED: [(char, char); 12] = [
    ('0', '₀'),
    ('1', '₁'),
    ('2', '₂'),
    ('3', '₃'),
    ('4', '₄'),
    ('5', '₅'),
    ('6', '₆'),
    ('7', '₇'),
    ('8', '₈'),
    ('9', '₉'),
    ('+', '₊'),
    ('-', '₋'),
];

/// A formula as text.
pub(crate) fn readable(formula: &str) -> String {
    let mut text = String::new();
    let mut rest = formula.trim();
    while let Some(first) = rest.chars().next() {
        if first == '\\' {
            let known = SYMBOLS
                .iter()
                .filter(|(command, _)| rest.starts_with(command) && ends_there(rest, command))
                .max_by_key(|(command, _)| command.len());
            if let Some((command, symbol)) = known {
                text.push_str(symbol);
                rest = rest.get(command.len()..).unwrap_or("");
                continue;
            }
            if let Some((top, bottom, after)) = fraction(rest) {
                text.push_str(&format!("({})/({})", readable(top), readable(bottom)));
                rest = after;
                continue;
            }
        }
        if (first == '^' || first == '_') && rest.len() > 1 {
            let table: &[(char, char)] = if first == '^' { &RAISED } else { &LOWERED };
            let (inner, after) = group(rest.get(1..).unwrap_or(""));
            let moved: Option<String> =
                inner.chars().map(|letter| table.iter().find(|(from, _)| *from == letter).map(|(_, to)| *to)).collect();
            match moved {
                Some(moved) if !moved.is_empty() => text.push_str(&moved),
                _ => text.push_str(&format!("{first}({})", readable(inner))),
            }
            rest = after;
            continue;
        }
        if first != '{' && first != '}' {
            text.push(first);
        }
        rest = rest.get(first.len_utf8()..).unwrap_or("");
    }
    text
}

/// The text with `\\(..\\)` and `\\[..\\]` as `$$..$$`, the marks that the parser of markdown knows: as many bytes in the
/// same places. Code stays as it is, and so does what is not closed in its paragraph.
pub(crate) fn with_dollars(text: &str) -> Cow<'_, str> {
    if !text.contains("\\(") && !text.contains("\\[") {
        return Cow::Borrowed(text);
    }
    let mut marked = String::with_capacity(text.len());
    let mut fence: Option<&str> = None;
    let mut rest = text;
    let mut at_line = true;
    while let Some(first) = rest.chars().next() {
        let line = rest.trim_start_matches(' ');
        let ticks = line.get(..3).filter(|ticks| at_line && (*ticks == "```" || *ticks == "~~~"));
        let (kept, pair) = match (fence, ticks) {
            (Some(open), Some(close)) if open == close => {
                fence = None;
                (line_length(rest), None)
            }
            (None, Some(open)) => {
                fence = Some(open);
                (line_length(rest), None)
            }
            (Some(_), _) => (line_length(rest), None),
            (None, None) if first == '`' => (code_length(rest), None),
            (None, None) if rest.starts_with("\\(") => (2, formula(rest, "\\)")),
            (None, None) if rest.starts_with("\\[") => (2, formula(rest, "\\]")),
            (None, None) if first == '\\' => (1 + rest.chars().nth(1).map_or(0, char::len_utf8), None),
            (None, None) => (first.len_utf8(), None),
        };
        let (taken, after) = match pair {
            Some((inner, after)) => {
                marked.push_str("$$");
                marked.push_str(inner);
                marked.push_str("$$");
                (inner, after)
            }
            None => {
                let (taken, after) = rest.split_at(kept);
                marked.push_str(taken);
                (taken, after)
            }
        };
        at_line = taken.ends_with('\n');
        rest = after;
    }
    Cow::Owned(marked)
}

fn line_length(text: &str) -> usize {
    text.find('\n').map_or(text.len(), |at| at + 1)
}

/// Length of a span of code with its ticks, or of the ticks where none closes it.
fn code_length(text: &str) -> usize {
    let ticks = text.len() - text.trim_start_matches('`').len();
    let (mark, inner) = text.split_at(ticks);
    let paragraph = inner.find("\n\n").map_or(inner, |end| inner.get(..end).unwrap_or(inner));
    let mut from = 0;
    while let Some(at) = paragraph.get(from..).and_then(|rest| rest.find(mark)).map(|at| from + at) {
        let run = paragraph.get(at..).map_or(0, |rest| rest.len() - rest.trim_start_matches('`').len());
        if run == ticks {
            return ticks + at + run;
        }
        from = at + run;
    }
    ticks
}

/// What stands between the marks, and what follows them.
fn formula<'a>(text: &'a str, close: &str) -> Option<(&'a str, &'a str)> {
    let inner = text.get(2..)?;
    let end = inner.find(close)?;
    let found = inner.get(..end)?;
    let whole = !found.trim().is_empty() && !found.contains("\n\n") && !found.contains('$');
    whole.then_some((found, inner.get(end + 2..)?))
}

fn ends_there(rest: &str, command: &str) -> bool {
    !command.ends_with(char::is_alphabetic)
        || !rest.get(command.len()..).unwrap_or("").starts_with(|letter: char| letter.is_ascii_alphabetic())
}

/// `{inner}after`, or one character and what follows.
fn group(text: &str) -> (&str, &str) {
    let Some(inner) = text.strip_prefix('{') else {
        let end = text.chars().next().map_or(0, char::len_utf8);
        return text.split_at(end);
    };
    let mut depth = 1;
    for (at, letter) in inner.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (inner.get(..at).unwrap_or(""), inner.get(at + 1..).unwrap_or(""));
        }
    }
    (inner, "")
}

fn fraction(text: &str) -> Option<(&str, &str, &str)> {
    let after = text.strip_prefix("\\frac")?;
    let (top, after) = group(after.trim_start());
    let (bottom, after) = group(after.trim_start());
    Some((top, bottom, after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{readable, with_dollars};

    #[test]
    fn brackets_become_dollars_outside_of_code() {
        assert_eq!(with_dollars("so \\(x^2\\) and\n\\[\ny\n\\]."), "so $$x^2$$ and\n$$\ny\n$$.");
        for same in [
            "no formula",
            "`\\(x\\)` and ``a ` \\(x\\)``",
            "```\n\\(x\\)\n```",
            "~~~\n\\(x\\)\n```\n\\(x\\)",
            "\\\\(x\\)",
            "\\(open",
            "\\(a\n\nb\\)",
            "\\(\\)",
        ] {
            assert_eq!(with_dollars(same), same);
        }
        assert_eq!(with_dollars("```\n\\(x\\)\n```\n\\(x\\)"), "```\n\\(x\\)\n```\n$$x$$");
    }

    proptest! {
        #[test]
        fn bytes_keep_their_places(text in "([a中`$~ \n]|\\\\[()\\[\\]\\\\]|```){0,40}") {
            let marked = with_dollars(&text);
            prop_assert_eq!(marked.len(), text.len());
            for (at, letter) in marked.char_indices().filter(|(_, letter)| *letter != '$') {
                prop_assert!(text[at..].starts_with(letter));
            }
        }
    }

    #[test]
    fn formulas_become_readable() {
        assert_eq!(readable("x^2 + y_{10} \\leq \\frac{\\pi}{2}"), "x² + y₁₀ ≤ (π)/(2)");
        assert_eq!(readable("e^{kx}"), "e^(kx)");
        assert_eq!(readable("\\unknown{x"), "\\unknownx");
        assert_eq!(readable("\\inf"), "\\inf");
        assert_eq!(readable("^"), "^");
    }
}
