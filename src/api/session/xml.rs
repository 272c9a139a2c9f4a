//! Writing XML 1.0 from any text.

/// Appends `text` so that it can stand between tags and, in double quotes, as an attribute.
/// Characters that XML cannot have at all become U+FFFD.
pub(super) fn push_escaped(xml: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            // Left as they are, a parser would make spaces or other line ends of them.
            '\t' => xml.push_str("&#9;"),
            '\n' => xml.push_str("&#10;"),
            '\r' => xml.push_str("&#13;"),
            '\0'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => xml.push('\u{fffd}'),
            c => xml.push(c),
        }
    }
}

/// Appends ` name="value"`.
pub(super) fn push_attribute(xml: &mut String, name: &str, value: &str) {
    xml.extend([" ", name, "=\""]);
    push_escaped(xml, value);
    xml.push('"');
}

/// Appends `<name>text</name>`, or `<parameter name="…">text</parameter>` if no element can have
/// that name.
pub(super) fn push_element(xml: &mut String, name: &str, text: &str) {
    let element = if is_element_name(name) { name } else { "parameter" };
    xml.extend(["<", element]);
    if element != name {
        push_attribute(xml, "name", name);
    }
    xml.push('>');
    push_escaped(xml, text);
    xml.extend(["</", element, ">"]);
}

/// `Name` of XML 1.0 §2.3 without colons, which would ask for a namespace, and without what
/// begins like `xml`, which is reserved.
fn is_element_name(name: &str) -> bool {
    let reserved = name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("xml"));
    name.starts_with(starts_name) && name.chars().all(continues_name) && !reserved
}

fn starts_name(c: char) -> bool {
    matches!(c,
        'A'..='Z' | '_' | 'a'..='z' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
        | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}')
}

fn continues_name(c: char) -> bool {
    starts_name(c)
        || matches!(c, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        let mut xml = String::new();
        push_attribute(&mut xml, "a", "\" b='<c>&amp;]]>'\t\r\n\0\u{1f}\u{7f}\u{fffe}\u{ffff}é😀");
        let expected = " a=\"&quot; b='&lt;c&gt;&amp;amp;]]&gt;'&#9;&#13;&#10;\u{fffd}\u{fffd}\u{7f}\u{fffd}\u{fffd}é😀\"";
        assert_eq!(xml, expected);
    }

    #[test]
    fn an_element_has_a_name_that_elements_can_have() {
        for (name, expected) in [
            ("full_name", "<full_name>x</full_name>"),
            ("a-b.c1", "<a-b.c1>x</a-b.c1>"),
            ("größe", "<größe>x</größe>"),
            ("", "<parameter name=\"\">x</parameter>"),
            ("1a", "<parameter name=\"1a\">x</parameter>"),
            ("-a", "<parameter name=\"-a\">x</parameter>"),
            ("a b", "<parameter name=\"a b\">x</parameter>"),
            ("a[0]", "<parameter name=\"a[0]\">x</parameter>"),
            ("a:b", "<parameter name=\"a:b\">x</parameter>"),
            ("XMLthing", "<parameter name=\"XMLthing\">x</parameter>"),
            ("a>", "<parameter name=\"a&gt;\">x</parameter>"),
            ("a/", "<parameter name=\"a/\">x</parameter>"),
            ("×", "<parameter name=\"×\">x</parameter>"),
            ("parameter", "<parameter>x</parameter>"),
        ] {
            let mut xml = String::new();
            push_element(&mut xml, name, "x");
            assert_eq!(xml, expected, "{name:?}");
        }
    }
}
