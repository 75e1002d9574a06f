// Numbers that modules name at their top become literals where they are used. A bundle makes variables of such constants, which
// V8 loads from memory and checks each time; esbuild puts in the numbers of those modules only that import nothing.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';

const FOLDS = {
  [ts.SyntaxKind.BarToken]: (a, b) => a | b,
  [ts.SyntaxKind.AmpersandToken]: (a, b) => a & b,
  [ts.SyntaxKind.CaretToken]: (a, b) => a ^ b,
  [ts.SyntaxKind.LessThanLessThanToken]: (a, b) => a << b,
  [ts.SyntaxKind.GreaterThanGreaterThanToken]: (a, b) => a >> b,
  [ts.SyntaxKind.GreaterThanGreaterThanGreaterThanToken]: (a, b) => a >>> b,
  [ts.SyntaxKind.PlusToken]: (a, b) => a + b,
  [ts.SyntaxKind.MinusToken]: (a, b) => a - b,
  [ts.SyntaxKind.AsteriskToken]: (a, b) => a * b,
  [ts.SyntaxKind.SlashToken]: (a, b) => a / b,
  [ts.SyntaxKind.AsteriskAsteriskToken]: (a, b) => a ** b,
};

/** Numbers by module, and modules with their numbers put in: those of one build may be read for several bundles. */
const known = new Map();
const changed = new Map();

/**
 * The module with the numbers put in, its own and those it imports; lines stay where they are.
 *
 * @param {string} text of a TypeScript module
 * @param {string} path of its file
 */
export function withLiterals(text, path) {
  if (!changed.has(path)) changed.set(path, putIn(text, path));
  return changed.get(path);
}

function putIn(text, path) {
  const source = parse(text);
  const numbers = new Map([...numbersOf(source, path), ...importedBy(source, path)]);
  let result = '';
  let done = 0;
  for (const use of usesOf(source, numbers)) {
    const literal = literalOf(numbers.get(nameOf(use)));
    result += text.slice(done, use.getStart(source));
    if (ts.isShorthandPropertyAssignment(use.parent)) result += `${use.text}: ${literal}`;
    // A number with a dot behind it has decimals.
    else result += ts.isPropertyAccessExpression(use.parent) ? `(${literal})` : literal;
    done = use.end;
  }
  return result + text.slice(done);
}

function parse(text) {
  return ts.createSourceFile('module.ts', text, ts.ScriptTarget.Latest, true);
}

/** @returns {Map<string, number>} the constants at the top of the module */
function numbersOf(source, path) {
  if (known.has(path)) return known.get(path);
  const numbers = new Map();
  // Before what it imports, which may import it.
  known.set(path, numbers);
  const visible = importedBy(source, path);
  for (const statement of source.statements) {
    if (!ts.isVariableStatement(statement)) continue;
    if ((statement.declarationList.flags & ts.NodeFlags.Const) === 0) continue;
    for (const { name, initializer } of statement.declarationList.declarations) {
      const value = initializer === undefined ? undefined : numberIn(initializer, visible);
      if (!ts.isIdentifier(name) || !Number.isFinite(value) || Object.is(value, -0)) continue;
      numbers.set(name.text, value);
      visible.set(name.text, value);
    }
  }
  return numbers;
}

/** The constants of other modules, by the names that this one has for them. */
function importedBy(source, path) {
  const numbers = new Map();
  for (const statement of source.statements) {
    if (!ts.isImportDeclaration(statement) || !statement.moduleSpecifier.text.startsWith('.')) continue;
    const names = statement.importClause?.namedBindings;
    if (names === undefined || statement.importClause.isTypeOnly) continue;
    const from = join(dirname(path), statement.moduleSpecifier.text);
    const theirs = known.get(from) ?? numbersOf(parse(readFileSync(from, 'utf8')), from);
    if (ts.isNamespaceImport(names))
      for (const [name, value] of theirs) numbers.set(`${names.name.text}.${name}`, value);
    else
      for (const { name, propertyName } of names.elements) {
        const value = theirs.get((propertyName ?? name).text);
        if (value !== undefined) numbers.set(name.text, value);
      }
  }
  return numbers;
}

/** The number that an expression of numbers is, or undefined. */
function numberIn(node, numbers) {
  if (ts.isNumericLiteral(node)) return Number(node.text);
  if (ts.isIdentifier(node) || isMemberOfName(node)) return numbers.get(nameOf(node));
  if (ts.isParenthesizedExpression(node) || ts.isAsExpression(node))
    return numberIn(node.expression, numbers);
  if (ts.isPrefixUnaryExpression(node)) {
    const value = numberIn(node.operand, numbers);
    if (value === undefined) return undefined;
    if (node.operator === ts.SyntaxKind.MinusToken) return -value;
    return node.operator === ts.SyntaxKind.TildeToken ? ~value : undefined;
  }
  if (!ts.isBinaryExpression(node)) return undefined;
  const [left, right] = [numberIn(node.left, numbers), numberIn(node.right, numbers)];
  return left === undefined || right === undefined
    ? undefined
    : FOLDS[node.operatorToken.kind]?.(left, right);
}

function literalOf(value) {
  return value < 0 ? `(${value})` : String(value);
}

/** Where the constants are used as values, in order. */
function usesOf(source, numbers) {
  const uses = [];
  const visit = (node, hidden) => {
    const used = ts.isIdentifier(node) ? isUse(node) : isMemberOfName(node);
    if (used && numbers.has(nameOf(node)) && !hidden.has(nameOf(node).split('.', 1)[0])) uses.push(node);
    const own = namesIn(node);
    const inner = own.length === 0 ? hidden : new Set([...hidden, ...own]);
    ts.forEachChild(node, (child) => {
      if (!isType(child)) visit(child, inner);
    });
  };
  ts.forEachChild(source, (statement) => {
    if (!isType(statement)) visit(statement, new Set());
  });
  return uses;
}

function nameOf(node) {
  return ts.isIdentifier(node) ? node.text : `${node.expression.text}.${node.name.text}`;
}

/** What may be a constant of a module that is imported as a whole. */
function isMemberOfName(node) {
  return ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression);
}

function isType(node) {
  if (ts.isHeritageClause(node)) return node.token === ts.SyntaxKind.ImplementsKeyword;
  if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return true;
  return ts.isTypeNode(node) && !ts.isExpressionWithTypeArguments(node);
}

/** The names that something inside `node` may have and that end with it: there they are not those of the module. */
function namesIn(node) {
  if (ts.isFunctionLike(node)) {
    const own = ts.isFunctionExpression(node) && node.name !== undefined ? [node.name.text] : [];
    return [...own, ...node.parameters.flatMap(({ name }) => namesOf(name)), ...hoistedIn(node.body)];
  }
  if (ts.isClassExpression(node)) return node.name === undefined ? [] : [node.name.text];
  if (ts.isClassStaticBlockDeclaration(node)) return hoistedIn(node.body);
  if (ts.isEnumDeclaration(node))
    return node.members.map(({ name }) => name).flatMap((name) => ('text' in name ? [name.text] : []));
  if (ts.isCatchClause(node)) return namesOf(node.variableDeclaration?.name);
  if (ts.isForStatement(node) || ts.isForInStatement(node) || ts.isForOfStatement(node))
    return declaredBy(node.initializer);
  if (ts.isBlock(node)) return node.statements.flatMap(declaredBy);
  if (ts.isModuleBlock(node)) return [...node.statements.flatMap(declaredBy), ...hoistedIn(node)];
  if (ts.isCaseBlock(node)) return node.clauses.flatMap((clause) => clause.statements.flatMap(declaredBy));
  return [];
}

function declaredBy(statement) {
  if (statement === undefined) return [];
  if (ts.isVariableStatement(statement)) return declaredBy(statement.declarationList);
  if (ts.isVariableDeclarationList(statement))
    return statement.declarations.flatMap(({ name }) => namesOf(name));
  const names =
    ts.isFunctionDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isEnumDeclaration(statement) ||
    ts.isModuleDeclaration(statement) ||
    ts.isImportEqualsDeclaration(statement);
  return names && statement.name !== undefined ? [statement.name.text] : [];
}

/** Names of `var`, which reach through blocks, up to the next function. */
function hoistedIn(body) {
  const names = [];
  const visit = (node) => {
    if (ts.isFunctionLike(node) || ts.isClassStaticBlockDeclaration(node)) return;
    if (ts.isVariableDeclarationList(node)) names.push(...declaredBy(node));
    ts.forEachChild(node, visit);
  };
  if (body !== undefined) ts.forEachChild(body, visit);
  return names;
}

/** The names of a name or of a pattern. */
function namesOf(name) {
  if (name === undefined) return [];
  if (ts.isIdentifier(name)) return [name.text];
  return name.elements.flatMap((element) => (ts.isOmittedExpression(element) ? [] : namesOf(element.name)));
}

function isUse(node) {
  const { parent } = node;
  if (ts.isShorthandPropertyAssignment(parent)) return true;
  // What is declared, properties, labels, and the names before a colon in imports, exports and patterns.
  return !['name', 'label', 'propertyName'].some((key) => parent[key] === node);
}
