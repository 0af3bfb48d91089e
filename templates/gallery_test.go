package templates

import (
	"cmp"
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

// TestGallery writes every sample in every language, with the assets beside it, where the flag -gallery says, or to a folder that goes.
func TestGallery(t *testing.T) {
	folder := cmp.Or(*gallery, t.TempDir())
	s := newTestSet(t)
	assets := filepath.Join(folder, "assets")
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
			writeFile(t, filepath.Join(folder, sample.name+"."+lang+".html"), strings.ReplaceAll(text, "/avengers/assets/", "assets/"))
		}
		for _, m := range mailSamples() {
			_, text, html, err := s.Mail(lang, m.mail)
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(folder, "mail."+m.name+"."+lang+".html"), html)
			writeFile(t, filepath.Join(folder, "mail."+m.name+"."+lang+".txt"), text)
		}
	}
}
