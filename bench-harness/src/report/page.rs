//! The page around everything: style for light, dark and paper; nothing is loaded from elsewhere.

use std::fmt::Write;

const STYLE: &str = "
:root{color-scheme:light dark;--ground:#fff;--text:#1b1f24;--faint:#667;--line:#d8dce2;--box:#f5f6f8;
--good:#0a7d3c;--bad:#b3261e;--c0:#2563eb;--c1:#c2610c;--c2:#0b7a5b;--c3:#b3261e;--c4:#7c3aed;--c5:#5b6472}
@media(prefers-color-scheme:dark){:root{--ground:#15181d;--text:#e4e7eb;--faint:#99a2ae;--line:#353b45;
--box:#1e2329;--good:#4ac97e;--bad:#ff8a80;--c0:#6ea8fe;--c1:#f2a65a;--c2:#4cc9a4;--c3:#ff8a80;--c4:#b79bff;
--c5:#a3acb8}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1.5rem;background:var(--ground);color:var(--text);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.6rem;margin:0 0 .2rem}h2{font-size:1.25rem;margin:2.2rem 0 .4rem}h3{font-size:1rem;margin:1.4rem 0 .3rem}
p{margin:.3rem 0}.faint{color:var(--faint)}
.verdict{border-left:4px solid var(--good);background:var(--box);padding:.5rem .8rem;margin:.8rem 0}
.verdict.bad{border-color:var(--bad)}.verdict b{color:var(--good)}.verdict.bad b{color:var(--bad)}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(12.5rem,1fr));gap:.6rem;margin:1rem 0}
.tile{background:var(--box);padding:.6rem .8rem}.tile b{display:block;font-size:1.35rem;font-weight:600}
.tile span{color:var(--faint);font-size:.85rem;display:block}
table{border-collapse:collapse;width:100%;font-size:.9rem;margin:.5rem 0}
th,td{text-align:left;padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--line);vertical-align:top;
overflow-wrap:anywhere}
th{font-weight:600}td:first-child{min-width:9rem}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
code,pre{font:.85em/1.5 ui-monospace,monospace}pre{background:var(--box);padding:.7rem;overflow-x:auto}
figure{margin:1rem 0;break-inside:avoid}figcaption{font-weight:600;font-size:.95rem}
.key{font-weight:400;color:var(--faint);margin-left:.8rem;white-space:nowrap}
.key i{display:inline-block;width:.8rem;height:.2rem;margin-right:.3rem;vertical-align:middle;background:currentColor}
svg{width:100%;height:auto;display:block}svg text{font:11px system-ui,sans-serif;fill:var(--faint)}
.grid{stroke:var(--line);stroke-width:.6}.one,.whisker{stroke:var(--text);stroke-width:1.2}
.aside{fill:var(--box)}.line{fill:none;stroke:currentColor;stroke-width:1.6;stroke-linejoin:round}
.band{fill:currentColor;opacity:.18}.bar{fill:currentColor;opacity:.75}
.s0{color:var(--c0)}.s1{color:var(--c1)}.s2{color:var(--c2)}.s3{color:var(--c3)}.s4{color:var(--c4)}.s5{color:var(--c5)}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(24rem,1fr));gap:0 1.5rem}
@media print{body{max-width:none;padding:0;font-size:11px}.tile,.verdict{border:1px solid var(--line)}
h2{break-after:avoid}details{display:none}}
";

/// Text as it may stand between tags and in attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            other => html.push(other),
        }
    }
    html
}

pub(super) fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>{}</title>\n<style>{STYLE}</style></head>\n<body>\n{body}\n\
         <p class=\"faint\">Made by <code>corelane bench report</code>, version {}.</p>\n</body></html>\n",
        escaped(title),
        env!("CARGO_PKG_VERSION")
    )
}

/// A number that matters, its name, and what must be said with it.
pub(super) struct Tile {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) beside: String,
}

pub(super) fn tiles(all: &[Tile]) -> String {
    let mut html = r#"<div class="tiles">"#.to_owned();
    for tile in all {
        let _ = write!(
            html,
            r#"<div class="tile">{}<b>{}</b><span>{}</span></div>"#,
            escaped(&tile.name),
            escaped(&tile.value),
            escaped(&tile.beside)
        );
    }
    html + "</div>\n"
}

/// Cells are text; all columns but the first are numbers where `has_numbers`.
pub(super) fn table(head: &[&str], rows: &[Vec<String>], has_numbers: bool) -> String {
    let class = |at: usize| if has_numbers && at > 0 { r#" class="n""# } else { "" };
    let mut html = "<table>".to_owned();
    if !head.is_empty() {
        html.push_str("<thead><tr>");
        for (at, name) in head.iter().enumerate() {
            let _ = write!(html, "<th{}>{}</th>", class(at), escaped(name));
        }
        html.push_str("</tr></thead>");
    }
    html.push_str("<tbody>");
    for row in rows {
        html.push_str("<tr>");
        for (at, cell) in row.iter().enumerate() {
            let _ = write!(html, "<td{}>{}</td>", class(at), escaped(cell));
        }
        html.push_str("</tr>");
    }
    html + "</tbody></table>\n"
}

/// A verdict in plain sight.
pub(super) fn verdict(is_good: bool, word: &str, sentence: &str) -> String {
    let class = if is_good { "verdict" } else { "verdict bad" };
    format!("<p class=\"{class}\"><b>{}</b> {}</p>\n", escaped(word), escaped(sentence))
}

#[cfg(test)]
mod tests {
    use super::{escaped, page, table};

    #[test]
    fn what_a_broker_is_called_cannot_become_markup() {
        assert_eq!(escaped("<script>&\""), "&lt;script&gt;&amp;&quot;");
        let html = table(&["name", "n"], &[vec!["<b>".to_owned(), "1".to_owned()]], true);
        assert!(html.contains("<td>&lt;b&gt;</td><td class=\"n\">1</td>"));
    }

    #[test]
    fn a_page_loads_nothing() {
        let html = page("title", "<p>body</p>");
        for foreign in ["http:", "https:", "<script", "<link", "@import", "url("] {
            assert!(!html.contains(foreign), "{foreign}");
        }
    }
}
