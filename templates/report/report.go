// Package report holds the page that lpbuild test writes with --html.
package report

import _ "embed"

// Page is the page as an html/template; package pipeline gives its data. It has
// no script, and nothing that it would have to fetch.
//
//go:embed page.html
var Page string

// Style is the content of its style element.
//
//go:embed page.css
var Style string
