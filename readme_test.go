package sparekey_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/sparekey-id/sparekey"
	"github.com/sparekey-id/sparekey/directory/local"
	"github.com/sparekey-id/sparekey/internal/config"
	"github.com/sparekey-id/sparekey/internal/guard"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks are the README's examples in one language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	var list []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(readme(t), -1) {
		list = append(list, m[1])
	}
	if len(list) == 0 {
		t.Fatalf("the README has no example in %s", language)
	}
	return list
}

// keysOf are the keys of a struct that a file sets, in full: tenants.T.policies[].for.groups. Names that operators choose are T, D, M, C.
func keysOf(of reflect.Type, path string) (keys []string) {
	if name := of.String(); of.Kind() != reflect.Struct && of.Kind() != reflect.Map && of.Kind() != reflect.Pointer && (of.Kind() != reflect.Slice || of.Elem().Kind() != reflect.Struct) ||
		strings.HasPrefix(name, "config.") {
		return []string{path}
	}
	switch of.Kind() {
	case reflect.Pointer:
		return keysOf(of.Elem(), path)
	case reflect.Slice:
		return keysOf(of.Elem(), path+"[]")
	case reflect.Map:
		last := path[strings.LastIndex(path, ".")+1:]
		return keysOf(of.Elem(), path+"."+strings.ToUpper(last[:1]))
	}
	for i := range of.NumField() {
		if name := of.Field(i).Tag.Get("yaml"); name != "" && name != "-" {
			keys = append(keys, keysOf(of.Field(i).Type, strings.TrimPrefix(path+"."+name, "."))...)
		}
	}
	return keys
}

// tabled are the keys of the README's tables, with their defaults. A comment before a table says what its keys are under.
func tabled(t *testing.T) map[string]string {
	t.Helper()
	found, under := map[string]string{}, ""
	for line := range strings.Lines(readme(t)) {
		if m := regexp.MustCompile(`^<!-- keys: (\S+) -->`).FindStringSubmatch(line); m != nil {
			under = m[1] + "."
		}
		m := regexp.MustCompile("^\\| `([^`]+)` \\| (.*?) \\| (.+) \\|$").FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		key := under + m[1]
		if _, twice := found[key]; twice {
			t.Errorf("%s is there twice", key)
		}
		found[key] = strings.Trim(m[2], "`")
	}
	return found
}

func TestTheREADMEHasEveryKeyOfTheConfigAndNoOther(t *testing.T) {
	keys, found := keysOf(reflect.TypeFor[sparekey.Config](), ""), tabled(t)
	for _, key := range keys {
		if _, ok := found[key]; !ok {
			t.Errorf("%s is in no table", key)
		}
		delete(found, key)
	}
	for key := range found {
		t.Errorf("there is no key %s", key)
	}
	if len(keys) < 70 {
		t.Errorf("only %d keys were looked for: %v", len(keys), keys)
	}
}

func TestTheLimitsOfTheREADMEAreTheDefaults(t *testing.T) {
	found := tabled(t)
	limits := guard.DefaultLimits()
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		for i := range v.NumField() {
			key := path + "." + v.Type().Field(i).Tag.Get("yaml")
			want := ""
			switch value := v.Field(i).Interface().(type) {
			case guard.Passwords:
				walk(v.Field(i), key)
				continue
			case config.Rate:
				want = value.String()
			case config.Duration:
				want = value.String()
			default:
				want = fmt.Sprint(value)
			}
			if readMe := found[key]; !sameSetting(readMe, want) {
				t.Errorf("%s: the README says %q, the default is %q", key, readMe, want)
			}
		}
	}
	walk(reflect.ValueOf(limits), "tenants.T.limits")
}

// sameSetting compares as the file would: 24h is 1d.
func sameSetting(a, b string) bool {
	read := func(text string) any {
		var rate struct {
			V config.Rate `yaml:"v"`
		}
		if config.Parse("", []byte("v: "+text), &rate, nil) == nil {
			return rate.V
		}
		var duration struct {
			V config.Duration `yaml:"v"`
		}
		if config.Parse("", []byte("v: "+text), &duration, nil) == nil {
			return duration.V
		}
		return text
	}
	return a == b || read(a) == read(b)
}

// written writes a configuration file of the README with what it needs beside it.
func written(t *testing.T, text string) string {
	t.Helper()
	folder := t.TempDir()
	t.Setenv("WIKI_SECRET", "a-secret-of-the-wiki")
	var logo bytes.Buffer
	if err := png.Encode(&logo, image.NewGray(image.Rect(0, 0, 64, 64))); err != nil {
		t.Fatal(err)
	}
	cert, key := certificate(t)
	_, other := certificate(t)
	for name, content := range map[string]string{"wiki.secret": "secret", "smtp.password": "secret", "banned.txt": "stark\n", "logo.png": logo.String(), "sparekey.yaml": text,
		"cert.pem": string(cert), "key.pem": string(key), "other.pem": string(other), "ca.pem": string(cert)} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, "sparekey.yaml")
}

func TestEveryConfigurationOfTheREADMEIsGood(t *testing.T) {
	files := blocks(t, "yaml")
	for i, text := range files {
		cfg, err := sparekey.LoadConfig(written(t, text))
		if err != nil {
			t.Errorf("configuration %d: %v", i+1, err)
			continue
		}
		// It opens as well, on another database.
		cfg.Database, cfg.Keyring = "sqlite:"+filepath.Join(t.TempDir(), "x.db"), ""
		p, err := sparekey.Open(t.Context(), cfg)
		if err != nil {
			t.Errorf("configuration %d does not open: %v", i+1, err)
			continue
		}
		p.Close()
	}
	smallest, err := sparekey.LoadConfig(written(t, files[0]))
	if err != nil {
		t.Fatal(err)
	}
	p, err := sparekey.Open(t.Context(), smallest)
	if err != nil {
		t.Fatalf("the smallest: %v", err)
	}
	p.Close()

	var whole yaml.Node
	if err := yaml.Unmarshal([]byte(files[1]), &whole); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	mentioned(whole.Content[0], "", used)
	for _, key := range keysOf(reflect.TypeFor[sparekey.Config](), "") {
		if !used[key] {
			t.Errorf("the file with every key has no %s", key)
		}
	}
}

// mentioned notes the paths in a file as keysOf writes them.
func mentioned(n *yaml.Node, path string, into map[string]bool) {
	into[path] = true
	switch n.Kind {
	case yaml.SequenceNode:
		for _, item := range n.Content {
			if item.Kind == yaml.MappingNode {
				mentioned(item, path+"[]", into)
			}
		}
	case yaml.MappingNode:
		chosen, isMap := map[string]string{"tenants": "T", "tenants.T.directories": "D", "tenants.T.policies[].methods": "M", "tenants.T.clients[].claims": "C"}[path]
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i].Value
			if isMap {
				key = chosen
			}
			mentioned(n.Content[i+1], strings.TrimPrefix(path+"."+key, "."), into)
		}
	}
}

func TestTheGoExamplesOfTheREADMECompile(t *testing.T) {
	folder := t.TempDir()
	overlay := map[string]string{}
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	var packages []string
	for i, code := range blocks(t, "go") {
		if !strings.HasPrefix(code, "package ") {
			if !strings.Contains(code, "\nreturn http") && !strings.Contains(code, "\nreturn cfg") {
				code += "\nreturn nil\n"
			}
			imports := `"context"; "github.com/sparekey-id/sparekey"; "github.com/sparekey-id/sparekey/directory"; `
			if strings.Contains(code, "http.") {
				imports += `"net/http"`
			}
			code = fmt.Sprintf("package example\nimport (%s)\nfunc example(ctx context.Context, myUsers directory.Directory, wikiSecret string) error {\n%s\n}\n", imports, code)
		}
		name := fmt.Sprintf("example%d", i)
		file := filepath.Join(folder, name+".go")
		if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay[filepath.Join(root, "examples", name, name+".go")] = file
		packages = append(packages, "./examples/"+name)
	}
	text, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "overlay.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", append([]string{"build", "-overlay", filepath.Join(folder, "overlay.json")}, packages...)...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// built is the command, built.
func built(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "sparekey")
	if out, err := exec.Command("go", "build", "-o", binary, "./cmd/sparekey").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

func TestTheCommandsOfTheREADMEDoWhatItSays(t *testing.T) {
	binary := built(t)
	_, after, found := strings.Cut(readme(t), "<!-- run -->\n```sh\n")
	script, _, ended := strings.Cut(after, "```")
	if !found || !ended {
		t.Fatal("the README has nothing to run")
	}
	var lines []string
	for line := range strings.Lines(script) {
		switch {
		case strings.HasPrefix(line, "go build "): // done above
		case strings.HasPrefix(line, "./sparekey serve "):
			line, _, _ = strings.Cut(line, "#")
			lines = append(lines, "timeout -s INT 3 "+strings.TrimSpace(strings.ReplaceAll(line, "--config sparekey.yaml", "--config other.yaml"))+"\n")
		default:
			lines = append(lines, line)
		}
	}
	// Another port than the one people use; interrupted, it ends well.
	script = "set -e\n" + strings.Replace(strings.Join(lines, ""), "timeout", "sed s/127.0.0.1:8080/127.0.0.1:0/ sparekey.yaml > other.yaml\ntimeout --preserve-status", 1)
	shell := exec.Command("bash", "-c", script)
	shell.Dir = filepath.Dir(binary)
	out, err := shell.CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"msg":"ready"`) {
		t.Errorf("%v\n%s\n%s", err, script, out)
	}
}

func TestTheREADMENamesEveryCommandThereIsAndNoOther(t *testing.T) {
	help, err := exec.Command(built(t), "help").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, operate, _ := strings.Cut(readme(t), "## Operate")
	operate, _, _ = strings.Cut(operate, "\n## ")
	verbs := func(text string) map[string]string {
		all := map[string]string{}
		for _, m := range regexp.MustCompile(`(?m)^ *sparekey (\w+) +([a-z-]+(?:\|[a-z-]+)+)?`).FindAllStringSubmatch(text, -1) {
			all[m[1]] = m[2]
		}
		return all
	}
	there, named := verbs(string(help)), verbs(operate)
	delete(there, "demo")
	delete(there, "serve")
	if !maps.Equal(there, named) {
		t.Errorf("the commands are %v, the README has %v", there, named)
	}
}

func TestTheUsersOfTheREADMELiveInTheDemo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	demo := exec.CommandContext(ctx, built(t), "demo", "--listen", "localhost:0")
	demo.Cancel = func() error { return demo.Process.Signal(os.Interrupt) }
	out, err := demo.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	printed, buffer := "", make([]byte, 4096)
	for err == nil && !strings.Contains(printed, "Ctrl-C") {
		var n int
		n, err = out.Read(buffer)
		printed += string(buffer[:n])
	}
	cancel()
	_ = demo.Wait()
	pairs := regexp.MustCompile("`(\\w+)`(?: with | \\()`([a-z-]+-[a-z-]+)`").FindAllStringSubmatch(readme(t), -1)
	if len(pairs) != 4 {
		t.Errorf("the README names %v", pairs)
	}
	for _, p := range pairs {
		if !regexp.MustCompile(p[1] + ` +` + p[2]).MatchString(printed) {
			t.Errorf("%s with %s is not in the demo:\n%s", p[1], p[2], printed)
		}
	}
}

func TestWhatTheREADMELinksToIsThere(t *testing.T) {
	links := regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(readme(t), -1)
	for _, m := range links {
		if strings.HasPrefix(m[1], "http") {
			continue
		}
		if _, err := os.Stat(m[1]); err != nil {
			t.Error(err)
		}
	}
	if len(links) < 3 || !slices.ContainsFunc(links, func(m []string) bool { return m[1] == "docs/floors.svg" }) {
		t.Errorf("the README links to %v", links)
	}
}

// Figures that stand in the code as well are the same there.
func TestTheFiguresOfTheREADMEAreThoseOfTheCode(t *testing.T) {
	for file, figures := range map[string]map[string]string{
		"cmd/sparekey/serve.go":     {"SetGCPercent(400)": "`GOGC=400`", "SetMemoryLimit(192 << 20)": "soft limit of 192 MiB"},
		"internal/secret/hasher.go": {"= 19 << 10,": "takes 19 MiB"},
		"Dockerfile":                {"USER 65532:": "its user 65532", "VOLUME /data": "one volume, `/data`", "/data/sparekey.yaml": "holds `sparekey.yaml`", ":8080/readyz": "`listen: 0.0.0.0:8080`"},
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for code, said := range figures {
			if !strings.Contains(string(text), code) || !strings.Contains(readme(t), said) {
				t.Errorf("%s has %q: %v; the README says %q: %v", file, code, strings.Contains(string(text), code), said, strings.Contains(readme(t), said))
			}
		}
	}
	for key, most := range map[string]string{"tenants.T.directories.D.reset.history": fmt.Sprint("up to ", local.MostHistory), "tenants.T.captcha.bits": fmt.Sprint("1–", guard.MostBits)} {
		name := strings.TrimPrefix(key, "tenants.T.")
		if !regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(name) + "` .*" + regexp.QuoteMeta(most)).MatchString(readme(t)) {
			t.Errorf("%s: the README does not say %s", key, most)
		}
	}
}
