//! Dates of fields, read generously (RFC 9110 section 5.6.7).

use std::time::SystemTime;

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Reads any of the three forms of a date. Letters may be of either case, and a weekday that does not fit its date is
/// passed over; anything else that breaks the grammar is no date.
pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok().or_else(|| {
        let text = spelt(text);
        let (day, rest) = text.split_at_checked(3)?;
        if !WEEKDAYS.contains(&day) || !rest.starts_with([',', ' ']) {
            return httpdate::parse_http_date(&text).ok();
        }
        WEEKDAYS.iter().find_map(|day| httpdate::parse_http_date(&format!("{day}{rest}")).ok())
    })
}

/// The text with each word in a date's usual case: `Thu`, `Aug`, `GMT`.
fn spelt(text: &str) -> String {
    let mut first = true;
    let spelt: String = text
        .chars()
        .map(|c| {
            let cased = if first { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
            first = !c.is_ascii_alphabetic();
            cased
        })
        .collect();
    spelt.replace("Gmt", "GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_forms_are_read_and_nothing_else() {
        let then = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for form in [
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "SUN, 06 NOV 1994 08:49:37 gmt",
            "Fri Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(form), Some(then), "{form}");
        }
        for bad in ["", "0", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC", "1994-11-06", "ü"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
