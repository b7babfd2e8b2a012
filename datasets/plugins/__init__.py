"""Python files of users: what their text says, which files they are built on, and how they are imported, each in a
namespace of its own."""
