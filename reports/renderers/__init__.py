"""From blocks to HTML and to text formats."""
