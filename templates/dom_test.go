package templates

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// document parses rendered HTML the way a browser with JavaScript does.
func document(t testing.TB, text string) *html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// find gives all elements for which ok holds, in document order.
func find(n *html.Node, ok func(*html.Node) bool) (found []*html.Node) {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && ok(d) {
			found = append(found, d)
		}
	}
	return found
}

func tags(n *html.Node, names ...string) []*html.Node {
	return find(n, func(e *html.Node) bool { return slices.Contains(names, e.Data) })
}

func attr(n *html.Node, name string) string {
	v, _ := lookAttr(n, name)
	return v
}

func lookAttr(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func hasAttr(n *html.Node, name string) bool { _, ok := lookAttr(n, name); return ok }

func hasClass(n *html.Node, class string) bool {
	return slices.Contains(strings.Fields(attr(n, "class")), class)
}

// textOf gives the text of an element with single spaces.
func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func byID(n *html.Node, id string) *html.Node {
	if all := find(n, func(e *html.Node) bool { return attr(e, "id") == id }); len(all) > 0 {
		return all[0]
	}
	return nil
}

// skeleton lists elements with the names of their attributes: what no value put into a page may change.
func skeleton(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		switch d.Type {
		case html.ElementNode:
			b.WriteString("<" + d.Data)
			var names []string
			for _, a := range d.Attr {
				names = append(names, a.Key)
			}
			slices.Sort(names)
			b.WriteString(" " + strings.Join(names, " ") + ">\n")
		case html.CommentNode:
			b.WriteString("<!---->\n")
		}
	}
	return b.String()
}
