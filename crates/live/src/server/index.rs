//! `/debug/pprof/`: what there is.

use crate::server::answer::{Answer, HTML, answer};

/// What there is, as in a directory.
pub(crate) async fn index() -> Answer {
    answer(HTML, INDEX)
}

const INDEX: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><title>/debug/pprof/ – tlsheap</title></head>
<body>
<h1>/debug/pprof/</h1>
<p>Profiles of the memory that is watched, for <code>go tool pprof</code>, Parca, Pyroscope and
others. The <a href=\"/\">page</a> shows the same; <a href=\"/metrics\">/metrics</a> is for
Prometheus.</p>
<ul>
<li><a href=\"heap?debug=1\">heap</a>: what is in use (<a href=\"heap\">file</a>); with
<code>?seconds=N</code> what changes in so many seconds</li>
<li><a href=\"allocs?debug=1\">allocs</a>: the same, with what was ever allocated shown first
(<a href=\"allocs\">file</a>)</li>
<li><a href=\"delta_heap\">delta_heap</a>: what is in use, and what was allocated since it was asked
for last (file)</li>
</ul>
<p><code>?domain=openssl</code> or <code>?domain=heap</code> has one domain alone.</p>
</body>
</html>
";
