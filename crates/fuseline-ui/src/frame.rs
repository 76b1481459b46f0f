//! The frame of every page: head, links to the others, and where one is.

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderValue};
use axum::response::Response;
use fuseline::visible;
use fuseline_report::markup::{Element, element};

/// A page before it is written.
pub struct Page {
    title: String,
    trail: Vec<(String, String)>,
    main: Vec<Element>,
    status: StatusCode,
    renewal: Option<Renewal>,
}

/// Update mechanism of a page.
enum Renewal {
    /// Events from an address say when.
    Events(String),
    /// It is incomplete, and reloads at once.
    Soon,
}

/// Starts a page.
pub fn page(title: impl Into<String>) -> Page {
    let title = title.into();
    Page { title, trail: Vec::new(), main: Vec::new(), status: StatusCode::OK, renewal: None }
}

impl Page {
    /// A page above this one.
    pub fn under(mut self, address: impl Into<String>, name: impl Into<String>) -> Self {
        self.trail.push((address.into(), name.into()));
        self
    }

    /// Appends an element.
    pub fn child(mut self, child: Element) -> Self {
        self.main.push(child);
        self
    }

    /// Appends elements.
    pub fn children(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.main.extend(children);
        self
    }

    /// The status of the answer.
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Renews the page whenever an event comes from an address.
    pub fn live(mut self, events: impl Into<String>) -> Self {
        self.renewal = Some(Renewal::Events(events.into()));
        self
    }

    /// States that something is still being read; the page reloads by itself.
    pub fn waits(mut self, words: &str) -> Self {
        self.renewal = Some(Renewal::Soon);
        self.child(element("p").class("waiting").text(words))
    }

    /// The answer.
    pub fn response(self) -> Response {
        let status = self.status;
        response(status, self.write())
    }

    fn write(self) -> String {
        let mut head = head(&self.title);
        let mut live = element("div").attr("id", "live");
        match &self.renewal {
            Some(Renewal::Events(address)) => {
                live = live.attr("data-events", address.as_str());
                head = head.child(without_scripts(5));
            }
            Some(Renewal::Soon) => {
                live = live.attr("data-again", "true");
                head = head.child(without_scripts(1));
            }
            None => {}
        }
        let place =
            element("nav").attr("aria-label", "You are here").class("trail").child(
                element("ol").children(self.trail.iter().map(|(address, name)| {
                    element("li").child(link(address.as_str(), name.as_str()))
                })),
            );
        let heading = element("h1").text(self.title);
        let main = element("main")
            .attr("id", "content")
            .attr("tabindex", "-1")
            .child(place)
            .child(live.child(heading).children(self.main));
        let body = element("body")
            .child(element("a").class("skip").attr("href", "#content").text("Skip to the content"))
            .child(masthead())
            .child(element("p").attr("id", "news").class("unseen").attr("role", "status"))
            .child(main);
        document(head, body)
    }
}

fn masthead() -> Element {
    let links = [("/", "Runs"), ("/cache", "Cache")];
    element("header").class("masthead").child(element("strong").text("fuseline")).child(
        element("nav").attr("aria-label", "Pages").child(
            element("ul")
                .children(links.map(|(address, name)| element("li").child(link(address, name)))),
        ),
    )
}

fn head(title: &str) -> Element {
    element("head")
        .child(element("meta").attr("charset", "utf-8"))
        .child(
            element("meta")
                .attr("name", "viewport")
                .attr("content", "width=device-width, initial-scale=1"),
        )
        .child(element("meta").attr("name", "color-scheme").attr("content", "light dark"))
        .child(element("title").text(format!("{title} – fuseline")))
        .child(element("link").attr("rel", "icon").attr("href", "/assets/icon.svg"))
        .child(element("link").attr("rel", "stylesheet").attr("href", "/assets/ui.css"))
        .child(element("script").attr("src", "/assets/ui.js").attr("defer", "defer"))
}

fn without_scripts(seconds: u32) -> Element {
    element("noscript")
        .child(element("meta").attr("http-equiv", "refresh").attr("content", seconds.to_string()))
}

fn document(head: Element, body: Element) -> String {
    let mut out = "<!DOCTYPE html>\n".to_owned();
    element("html").attr("lang", "en").child(head).child(body).write(&mut out);
    out
}

/// The page that sets the cookie and leads on to an address.
pub fn welcome(address: &str) -> String {
    let refresh = element("meta").attr("http-equiv", "refresh");
    let refresh = refresh.attr("content", format!("0;url={address}"));
    let words = element("p").child(link(address, "Go on"));
    document(
        head("Opening").child(refresh),
        element("body")
            .child(element("main").child(element("h1").text("fuseline opens")).child(words)),
    )
}

/// An HTML answer.
pub fn response(status: StatusCode, html: String) -> Response {
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}

/// A page that says what is wrong.
pub fn problem(status: StatusCode, title: &str, words: &str) -> Response {
    page(title).under("/", "Runs").child(element("p").text(words)).status(status).response()
}

/// The answer to what is not there.
pub fn not_found(what: &str) -> Response {
    problem(StatusCode::NOT_FOUND, "Not found", what)
}

/// A link. Its text is shown as [`visible`].
pub fn link(address: impl Into<String>, text: impl AsRef<str>) -> Element {
    element("a").attr("href", address).text(visible(text.as_ref()))
}

/// A part of a page with a heading.
pub fn section(heading: &str) -> Element {
    element("section").child(element("h2").text(heading))
}

/// A list of names with values.
pub fn facts(rows: impl IntoIterator<Item = (String, Element)>) -> Element {
    let pairs = rows.into_iter().map(|(name, value)| {
        element("div").child(element("dt").text(visible(&name))).child(element("dd").child(value))
    });
    element("dl").class("facts").children(pairs)
}

/// A text as a value, shown as [`visible`].
pub fn plain(text: impl AsRef<str>) -> Element {
    element("span").text(visible(text.as_ref()))
}

/// A table in a region that scrolls by itself. `heads`: name, and whether the column holds numbers.
pub fn table(
    name: &str,
    heads: &[(&str, bool)],
    rows: impl IntoIterator<Item = Vec<Element>>,
) -> Element {
    let align = |numeric: bool| if numeric { "number" } else { "text" };
    let head = heads.iter().map(|(head, numeric)| {
        element("th").attr("scope", "col").class(align(*numeric)).text(*head)
    });
    let rows = rows.into_iter().map(|cells| {
        element("tr").children(cells.into_iter().enumerate().map(|(column, cell)| {
            let numeric = heads.get(column).is_some_and(|(_, numeric)| *numeric);
            let of = if column == 0 { element("th").attr("scope", "row") } else { element("td") };
            of.class(align(numeric)).child(cell)
        }))
    });
    let table = element("table")
        .child(element("caption").class("unseen").text(name))
        .child(element("thead").child(element("tr").children(head)))
        .child(element("tbody").children(rows));
    scrolling(name, table)
}

/// A region that scrolls sideways by itself, by the keyboard too.
pub fn scrolling(name: &str, content: Element) -> Element {
    element("div")
        .class("scrolling")
        .attr("role", "region")
        .attr("aria-label", name)
        .attr("tabindex", "0")
        .child(content)
}

/// A state in words, with its colour.
pub fn state(name: &str) -> Element {
    let tone = match name {
        "ok" | "done" => "good",
        "failed" | "damaged" => "bad",
        "running" | "interrupted" | "waiting" => "caution",
        "cached" => "yes",
        _ => "open",
    };
    element("span").class(format!("state {tone}")).text(visible(name))
}

/// Links to the pages of a long list. `address` ends before the number of the page.
pub fn pager(address: &str, page: usize, pages: usize) -> Option<Element> {
    if pages < 2 {
        return None;
    }
    let to = |page: usize, name: &str| element("li").child(link(format!("{address}{page}"), name));
    let mut list = element("ul");
    if page > 1 {
        list = list.child(to(1, "First")).child(to(page - 1, "Previous"));
    }
    list = list
        .child(element("li").attr("aria-current", "page").text(format!("Page {page} of {pages}")));
    if page < pages {
        list = list.child(to(page + 1, "Next")).child(to(pages, "Last"));
    }
    Some(element("nav").class("pager").attr("aria-label", "Pages of the list").child(list))
}
