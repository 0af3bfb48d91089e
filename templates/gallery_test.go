package templates

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var (
	gallery = flag.String("gallery", "", "folder to render every sample into, to look at in a browser")
	accent  = flag.String("accent", "#8a1c24", "accent of the samples in the gallery")
)

// TestGallery writes every sample in every language, with the assets beside it, where the flag -gallery says.
func TestGallery(t *testing.T) {
	if *gallery == "" {
		t.Skip("no -gallery folder given")
	}
	s := newTestSet(t)
	assets := filepath.Join(*gallery, "assets")
	if err := os.MkdirAll(assets, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, file := range s.assets.files {
		writeFile(t, filepath.Join(assets, name), string(file.body))
	}
	for _, lang := range s.Languages() {
		for _, sample := range samples() {
			page := withFrame(sample.page, func(f *Frame) { f.Lang, f.Accent = lang, *accent })
			text := render(t, s, page)
			if name := s.assets.accentName(page.frame().Accent); name != "" {
				file, _ := s.assets.find(name)
				writeFile(t, filepath.Join(assets, name), string(file.body))
			}
			writeFile(t, filepath.Join(*gallery, sample.name+"."+lang+".html"), strings.ReplaceAll(text, "/avengers/assets/", "assets/"))
		}
		for _, m := range mailSamples() {
			_, text, html, err := s.Mail(lang, m.mail)
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(*gallery, "mail."+m.name+"."+lang+".html"), html)
			writeFile(t, filepath.Join(*gallery, "mail."+m.name+"."+lang+".txt"), text)
		}
	}
}
