package config

import (
	"reflect"
	"slices"

	"go.yaml.in/yaml/v4"
)

// Section is a part of the file whose shape is known only when another value of it was read: a directory's options by its type.
// It is decoded within the check of Load, so that its faults are told together with all others.
type Section struct {
	source *Source
	node   *yaml.Node
	path   string
}

func (d *decoder) section(n *yaml.Node, into *Section, path string) {
	if n.Kind != yaml.MappingNode && !null(n) {
		d.fault(n, path, "keys with values are expected here, not %s", kind(n))
		return
	}
	*into = Section{d.Source, n, path}
}

// Path returns where the section stands, for faults.
func (s Section) Path() string { return s.path }

// Text returns the single value of a key; empty when there is none, or when it cannot be read.
func (s Section) Text(key string) string {
	if s.node == nil || s.node.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i+1 < len(s.node.Content); i += 2 {
		if value := plain(s.node.Content[i+1]); plain(s.node.Content[i]).Value == key && value.Kind == yaml.ScalarNode && !null(value) {
			text, _ := expand(value.Value)
			return text
		}
	}
	return ""
}

// Decode reads the section into a struct, save the keys named, which somebody else reads. It returns the faults of this section,
// which Load tells as well while it runs.
func (s Section) Decode(into any, except ...string) error {
	if s.node == nil {
		return nil
	}
	part := *s.source
	part.faults, part.warnings, part.checking = nil, nil, false
	node := *s.node
	node.Content = nil
	for i := 0; i+1 < len(s.node.Content); i += 2 {
		if !slices.Contains(except, plain(s.node.Content[i]).Value) {
			node.Content = append(node.Content, s.node.Content[i], s.node.Content[i+1])
		}
	}
	(&decoder{&part}).value(&node, reflect.ValueOf(into).Elem(), s.path)
	s.source.faults = append(s.source.faults, part.faults...) // after Load nobody looks at them
	s.source.warnings = append(s.source.warnings, part.warnings...)
	return part.result()
}
